"""Sentences for the speech synthesisers, made up from a seeded generator: own word lists, grammar and syllables.

English comes from a small grammar heavy in lip sounds, minimal pairs in carrier sentences, numbers, names, word lists
with pauses and pseudo-words. Other languages mix a few hand-written phrases with words built from the language's
syllables: what matters to a lip-sync model is the sounds and their order, not the sense.
"""

from random import Random

from .languages import PHRASES, SPELLINGS, Spelling, words


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


_NAMES = words(
    "Bob Mary Paul Betty Peter Molly Ben Polly Sam Pam Emma Phoebe Victor Wendy Bill Fiona Max Vivian Philip Barbara "
    "Mike Penny Charlie Sherry Jeff Heather Theo Beth William Maggie Robert Grace Frank Valerie Boris Mabel Tom Vera "
    "Adam Pippa Hugo Bryony Matthew Wilma Omar Fatima Jack Joyce Arthur Sophie Kim Noah Abby Ruby Toby Alfie"
)
_NOUNS = words(
    "bear map puppy bubble apple farm photo river wave wolf ship shell chair cheese judge bridge mouse moon baby ribbon "
    "lamp camp thumb bomb problem member number summer hammer mother father brother feather leaf knife cave glove van "
    "village valley vase voice window wheel wall wool water whale beach watch match kitchen picture teacher shop brush "
    "fish dish shoe shower sugar station pepper paper piper pocket puppet people purple pillow painting pebble party "
    "boat box book button butter basket bottle balcony banker bishop blanket boom bump cup cap cape rope soup stamp "
    "step shape map mop mob mama melon memory minute mirror mitten monkey month mountain mouth movie museum music "
    "name nap nut night noise north nose doll dog door dust desk dinner doctor tooth thief theatre thing thread throne "
    "path cloth bath earth weather leather breath coffee office roof elephant telephone fence finger fire floor flower "
    "fog forest fork fox friend frog fruit garage garden gift ghost girl glass goat gold grape group guitar hat hill "
    "home honey horse house island jacket jam job joke juice jump key king kite ladder lake letter lemon library lid "
    "lion list lock market meat milk oven owl orange ocean onion pan pig pipe plum pot queen question quilt rabbit radio "
    "rain ring robot room rose sandwich school scissors sea ship shirt snow sofa spoon square star stone street "
    "sun table tail tape tea tiger tiger toy train tree tub tube umbrella uncle vegetable wagon web winter wind wood "
    "world yard year yellow zebra zipper zoo treasure measure television garage beige boy oil coin mouse cow owl"
)
_ADJECTIVES = words(
    "big small blue brown purple happy funny heavy brave fluffy warm wet white wild wide wooden vivid very-fine clever "
    "empty simple humble nimble lumpy bumpy soapy sleepy shabby chubby fabulous fresh famous five-foot round smooth "
    "bitter better cheap chilly sharp shiny shy short thick thin thirsty thoughtful terrible tame cool cruel quick "
    "quiet rough rich rapid pretty proud pale polite public plump muddy modern mean mild male female foreign final "
    "formal free firm hopeful helpful gloomy grumpy greedy green old young yellow zealous jolly joyful gentle huge "
    "strange usual unusual pleasant awful lovely lively loyal royal noisy narrow nervous naughty dim damp dumb numb "
    "same plain purple wise weary whole double triple feeble stubborn"
)
_VERBS = words(
    "found bought baked broke brought built buried burned carried caught chose cleaned climbed moved met missed mixed "
    "mailed made melted measured mopped paid painted passed picked planted pulled pushed put packed polished dropped "
    "grabbed rubbed robbed stopped shaped shaved shared showed shook washed watched wanted waved wove wiped whispered "
    "wrapped viewed visited valued saved loved gave drove moved believed left laughed-at coughed-up fixed filled fed "
    "followed folded fought forgot framed thanked threw thought-about bothered gathered breathed jumped-over judged "
    "joined jammed chewed chopped touched reached hid held helped hummed heard hated lifted liked locked lost named "
    "needed noticed opened owned examined remembered climbed-up bumped dumped camped-by trampled sampled assembled"
)
_PLACES = _phrases(
    "by the bay|behind the barn|above the bridge|below the balcony|between the beams|before breakfast|on top of the map|"
    "in the middle of May|from the farm|for five whole weeks|after a full month|with the whole village|over the river|"
    "under the moon|in a warm room|at half past five|very far away|without any problem|near the old museum|"
    "with both thumbs|in the big blue van|every other evening|next to the shop|on the beach|beyond the mountain|"
    "within the valley|in front of everybody|up the steep path|through the thick fog|outside the theatre|"
    "about a mile from home|just below the roof|on Wednesday morning|in February|maybe in November|on the phone|"
    "at the top of the lamp|behind my back|for my brother|with my mother and my father|in a wooden box|by bus"
)
_ADVERBS = words(
    "maybe probably happily simply finally slowly very-quickly perhaps obviously suddenly politely warmly vividly "
    "bravely whenever-possible usually perfectly fairly sometimes always never often together"
)
_INTERJECTIONS = _phrases(
    "Oh|Ah|Wow|Hmm|Well|Um|Uh|Yes|No|Okay|Maybe|Hey|Oops|Phew|Bravo|Please|Right|Listen|Look|My my|Oh boy|Of course|"
    "I mean|You know|Believe me|Wait"
)
_HESITATIONS = words("um uh er hmm mhm erm ah oh well like uhm mm")
_LAUGHS = words("ha ha hee ho heh")
_QUESTIONS = _phrases(
    "Did {name} really {base} the {adj} {noun} {place}?|Where is the {adj} {noun} from {name}?|"
    "Why would anybody {base} my {noun}?|Who {verb} the {noun} {place}?|What if we {base} both {nouns}?|"
    "How many {nouns} did {name} {base} {place}?|Have you seen {name} and {name2} {place}?|"
    "May I please {base} your {adj} {noun}?|Would you mind if {name} {verb} the {noun}?|"
    "Which {noun} is better, the {adj} one or the {adj2} one?|Is it possible that we {verb} the wrong {noun}?"
)
_STATEMENTS = _phrases(
    "{name} {verb} the {adj} {noun} {place}.|The {adj} {noun} and the {adj2} {noun2} {verb} a {noun3} {place}.|"
    "{adv}, {name} {verb} {number} {adj} {nouns} {place}.|My {noun} was {adj}, but {name} {verb} it {place}.|"
    "If {name} is {adj}, {name2} will {base} the {noun} {place}.|We {verb} a {noun}, a {adj} {noun2} and a {noun3}.|"
    "{place2}, {name} and {name2} {verb} the {adj} {noun}.|There is a {adj} {noun} {place}, and it is {adj2}.|"
    "I believe {name} {verb} my {adj} {noun} {place}.|{name} said, {interj}, the {noun} is very {adj} {place}.|"
    "Nobody {verb} the {noun} because the {noun2} was {adj} and {adj2}.|Please {base} the {adj} {noun} {place}.|"
    "{interj}, I {verb} the {noun}, and then the {noun2}.|Both {nouns} {verb} the {adj} {noun2}, {interj}.|"
    "When {name} {verb} the {noun}, everybody {verb2} the {adj} {noun2}.|It was {adv} the {adj} {noun} {place}.|"
    "You should {base} the {noun} before {name} {verb} the {noun2}.|{number} {nouns} for {name}, {number2} for me.|"
    "A {adj} {noun} is a {noun2} with a {adj2} {noun3}.|{name} is {adj}, {adj2}, and {adv} in love with the {noun}."
)
_EXCLAMATIONS = _phrases(
    "{interj}! What a {adj} {noun}|{name}, stop, {name2} {verb} my {noun}|Bring me the {adj} {noun}, now|"
    "{interj}, {name}, look at that {adj} {noun}|I love my {adj} {adj2} {noun} so much|Never {base} a {noun} again"
)
_BASES = words(
    "bake break bring build buy carry catch choose clean climb move meet miss mix make measure mop pay paint pass pick "
    "plant pull push put pack drop grab rub rob stop shape shave share show shake wash watch want wave wipe wrap view "
    "visit value save love give drive believe leave fix fill feed follow fold fight forget thank throw bother gather "
    "judge join chew chop touch reach hide hold help hum hear lift like lock lose name need notice open examine remember"
)
# Pairs that differ by one sound people (and models) confuse, most of them one of them at the lips.
MINIMAL_PAIRS: tuple[tuple[str, ...], ...] = tuple(
    tuple(pair.split("/"))
    for pair in words(
        "map/nap mine/nine mice/nice meat/neat might/night moon/noon mow/no mail/nail mitt/knit mob/knob mode/node "
        "some/sun dime/dine same/sane comb/cone lime/line rum/run team/teen foam/phone game/gain whim/win term/turn "
        "simmer/sinner bad/dad bay/day beer/deer bill/dill big/dig bow/doe bid/did buck/duck bust/dust bark/dark "
        "cub/cud rib/rid lab/lad robe/road sob/sod rubber/rudder ribbon/ridden pie/tie pen/ten pin/tin pop/top "
        "pea/tea pool/tool pot/tot pan/tan park/talk cap/cat cup/cut lip/lit map/mat rope/wrote ship/sheet tape/take "
        "copper/cotter fin/thin first/thirst free/three fought/thought fret/threat deaf/death roof/ruth half/path "
        "reef/wreath offer/author vat/bat vest/best very/berry vote/boat van/ban vow/bow vile/bile vase/base vet/bet "
        "curve/curb dove/dub savour/saber marvel/marble wine/vine west/vest wet/vet whale/veil wheel/veal worse/verse "
        "wow/vow wail/vale rowing/roving pat/bat pack/back pig/big pull/bull pear/bear cap/cab rope/robe "
        "mop/mob man/ban mat/bat mail/bail more/bore mug/bug mend/bend mall/ball fan/van fine/vine few/view feel/veal "
        "leaf/leave safe/save proof/prove fat/pat fan/pan fool/pool fill/pill coffee/copy ship/chip sheep/cheap "
        "share/chair wash/watch sue/shoe sip/ship sell/shell mass/mash wing/ring wed/red weed/read white/right won/run "
        "choke/joke cheap/jeep rich/ridge den/then day/they dough/though breed/breathe tank/thank tin/thin true/through"
    )
)
_CARRIERS = _phrases(
    "Say {a} again, not {b}.|Not {a} but {b}, please.|Was it {a} or {b}?|{a}, {b}, {a}.|I said {a}, you heard {b}.|"
    "First {a}, then {b}, and finally {a2} and {b2}.|{a} and {b} are not the same as {a2} and {b2}.|"
    "Write {a} above {b}, and {b2} below {a2}.|The word {a} is not the word {b}.|{name} says {a}, {name2} says {b}.|"
    "{b}, {a}, {b2}, {a2}.|Maybe {b}? No, {a}, definitely {a}."
)
_ONSETS = words(
    "p b m f v w b p m f v sh ch j th t d n s z k g l r y h pl bl fl pr br fr sp sm sw tw kw sk st tr dr thr shr gl gr "
    "cl"
)
_NUCLEI = words("a e i o u ee oo ay ow oy igh ar or er aw")
_CODAS = words("p b m f v sh ch th t d n s k g l ng mp mb ft lf lm rp rb rm ps bs ms" + " -" * 14)


def sentence(rng: Random, language: str) -> str:
    """One sentence (3 to about 24 words) in `language`, a key of `SPELLINGS` or any English code ("en", "en-us", ...).

    Deterministic in the state of `rng`. Raises KeyError for a language without a spelling.
    """
    if language.split("-")[0] == "en":
        return _english(rng)
    spelling = SPELLINGS[language]
    phrases = PHRASES.get(language, ())
    words = _made_up_words(rng, spelling, rng.randint(4, 13))
    if phrases and rng.random() < 0.45:
        phrase = rng.choice(phrases)
        rest = _punctuate(rng, words[: rng.randint(2, 6)], spelling.stop)
        return f"{phrase} {rest[0].lower()}{rest[1:]}"
    return _punctuate(rng, words, spelling.stop)


def _english(rng: Random) -> str:
    if rng.random() < 0.015:
        return _laughter(rng)
    text = _english_clause(rng)
    if rng.random() < 0.12:
        text = _hesitant(rng, text)
    while len(text.split()) < 6:
        text = f"{text[:-1]}, {_english_clause(rng)}"
    return text


def _laughter(rng: Random) -> str:
    """ "Ha ha ha, hee hee": what people do between sentences, as the synthesisers can say it."""
    bursts = [" ".join([rng.choice(_LAUGHS)] * rng.randint(2, 5)) for _ in range(rng.randint(2, 3))]
    return f"{', '.join(bursts).capitalize()}, {rng.choice(_INTERJECTIONS).lower()}!"


def _hesitant(rng: Random, text: str) -> str:
    """The text with one to three hesitations between its words, or a word said twice."""
    words = text.split()
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(1, len(words)) if len(words) > 1 else 0
        if rng.random() < 0.3:
            words.insert(at, f"{words[at].strip(',.!?')},")
        else:
            words.insert(at, f"{rng.choice(_HESITATIONS)},")
    return " ".join(words)


def _english_clause(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.52:
        return _fill(rng, rng.choice(_STATEMENTS))
    if kind < 0.60:
        return _fill(rng, rng.choice(_QUESTIONS))
    if kind < 0.65:
        return _fill(rng, rng.choice(_EXCLAMATIONS)).replace("! ", ", ") + "!"
    if kind < 0.80:
        return _fill(rng, rng.choice(_CARRIERS))
    if kind < 0.85:
        return _numbers(rng)
    if kind < 0.90:
        return ", ".join(rng.choice(_NOUNS) for _ in range(rng.randint(4, 8))).capitalize() + "."
    return _punctuate(rng, [_pseudo_word(rng) for _ in range(rng.randint(4, 10))], ".")


def _fill(rng: Random, template: str) -> str:
    a, b = rng.sample(rng.choice(MINIMAL_PAIRS), 2)
    a2, b2 = rng.sample(rng.choice(MINIMAL_PAIRS), 2)
    slots = {
        "a": a, "b": b, "a2": a2, "b2": b2,
        "name": rng.choice(_NAMES), "name2": rng.choice(_NAMES), "place": rng.choice(_PLACES),
        "place2": rng.choice(_PLACES), "adv": rng.choice(_ADVERBS), "interj": rng.choice(_INTERJECTIONS).lower(),
        "number": _number_words(rng.randint(2, 999)), "number2": _number_words(rng.randint(2, 99)),
        "nouns": _plural(rng.choice(_NOUNS)), "base": rng.choice(_BASES), "verb": rng.choice(_VERBS),
        "verb2": rng.choice(_VERBS), "adj": rng.choice(_ADJECTIVES), "adj2": rng.choice(_ADJECTIVES),
        "noun": rng.choice(_NOUNS), "noun2": rng.choice(_NOUNS), "noun3": rng.choice(_NOUNS),
    }  # fmt: skip
    text = template.format(**slots).replace("-", " ")
    return text[0].upper() + text[1:]


def _plural(noun: str) -> str:
    if noun.endswith(("s", "sh", "ch", "x", "z")):
        return noun + "es"
    return noun[:-1] + "ies" if noun.endswith("y") and noun[-2] not in "aeiou" else noun + "s"


_UNITS = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = words("twenty thirty forty fifty sixty seventy eighty ninety")


def _number_words(number: int) -> str:
    if number < 20:
        return _UNITS[number]
    if number < 100:
        return _TENS[number // 10 - 2] + (f" {_UNITS[number % 10]}" if number % 10 else "")
    rest = f" and {_number_words(number % 100)}" if number % 100 else ""
    return f"{_UNITS[number // 100]} hundred{rest}"


def _numbers(rng: Random) -> str:
    kind = rng.randrange(3)
    if kind == 0:
        digits = [_UNITS[rng.randrange(10)] for _ in range(rng.randint(5, 9))]
        return f"My number is {' '.join(digits[:3])}, {' '.join(digits[3:])}."
    if kind == 1:
        return f"{_number_words(rng.randint(2, 999))} plus {_number_words(rng.randint(2, 999))} is more.".capitalize()
    start = rng.randint(0, 90)
    return ", ".join(_number_words(start + i) for i in range(rng.randint(4, 7))).capitalize() + "."


def _pseudo_word(rng: Random) -> str:
    if rng.random() < 0.25:  # vowel, consonant, vowel: the clearest picture of one closure
        vowel = rng.choice(("a", "ee", "oo", "o", "i"))
        return vowel + rng.choice(_ONSETS[:13]) + rng.choice(("a", "ee", "oo", "o"))
    word = ""
    for _ in range(rng.choice((1, 2, 2, 3))):
        word += rng.choice(_ONSETS) + rng.choice(_NUCLEI)
        word += rng.choice(_CODAS).strip("-")
    return word


def _made_up_words(rng: Random, spelling: Spelling, count: int) -> list[str]:
    words = []
    for _ in range(count):
        syllables = rng.choice((1, 2, 2, 3, 3))
        word = "".join(rng.choice(spelling.onsets) + rng.choice(spelling.nuclei) for _ in range(syllables))
        if rng.random() < spelling.coda_share:
            word += rng.choice(spelling.codas)
        words.append(word)
    return words


def _punctuate(rng: Random, words: list[str], stop: str) -> str:
    """The words as one sentence: a comma after a word with chance 0.18, never two in a row, and a final mark."""
    out = []
    since_comma = 0
    for i, word in enumerate(words):
        since_comma += 1
        if since_comma > 1 and i < len(words) - 1 and rng.random() < 0.18:
            word += ","
            since_comma = 0
        out.append(word)
    end = rng.choice((stop, stop, stop, "?", "!"))
    text = " ".join(out) + end
    return text[0].upper() + text[1:]
