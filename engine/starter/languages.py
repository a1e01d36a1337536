"""Spellings and phrases of the corpus' other languages: enough to make a synthesiser say that language's syllables."""

from dataclasses import dataclass


def words(text: str) -> tuple[str, ...]:
    """The words of a text, split at white space."""
    return tuple(text.split())


@dataclass(frozen=True)
class Spelling:
    """Letters from which made-up words are built: (onset + nucleus) repeated, then sometimes a coda."""

    onsets: tuple[str, ...]
    nuclei: tuple[str, ...]
    codas: tuple[str, ...]
    coda_share: float = 0.4
    stop: str = "."


def _latin(onsets: str, nuclei: str, codas: str, coda_share: float = 0.4, lips: str = "p b m f v") -> Spelling:
    # Lip consonants twice: they are what the mouth has to get right, and rare in running text.
    return Spelling(words(f"{onsets} {lips}"), words(nuclei), words(codas), coda_share)


_INDIC_STOP = "।"
# The inherent vowel is the empty nucleus.
_DEVANAGARI = Spelling(
    words("प ब म फ भ व प ब म व क ग च ज ट ड त द न य र ल श स ह ख घ थ ध"),
    ("", "ा", "ि", "ी", "ु", "ू", "े", "ो", "ा", "ै", "ौ"),
    words("म न प त र ल क स ब"),
    0.4,
    _INDIC_STOP,
)
_TELUGU = Spelling(
    words("ప బ మ ఫ భ వ ప బ మ వ క గ చ జ ట డ త ద న య ర ల శ స హ"),
    ("", "ా", "ి", "ీ", "ు", "ూ", "ె", "ే", "ొ", "ో", "ా"),
    ("ం", "లు", "ము", "డు"),
    0.4,
    ".",
)

SPELLINGS: dict[str, Spelling] = {
    "de": _latin("p b m f w t d n s z sch k g h l r j pf pl br fr schm schw kn tr st", "a e i o u ä ö ü ei au eu ie",
                 "p b m f t n s l r ch ng lf mpf sch", 0.55),
    "fr": _latin("p b m f v t d n s z ch j k g l r pl br fr bl tr gn qu", "a e i o u é è ou eu oi an on in au ui",
                 "p be me fe ve te re se l che ge", 0.4),
    "es": _latin("p b m f v t d n s c ch j k g l r y ll ñ pl br fr bl tr gu", "a e i o u a e o ie ue ai",
                 "n s l r d", 0.4),
    "it": _latin("p b m f v t d n s z c ch g gh l r sc gl gn pl br fr tr sp", "a e i o u a e o ia uo", "n r l", 0.15),
    "pt": _latin("p b m f v t d n s z ch j c g l r lh nh pl br fr tr qu", "a e i o u ã ão é ei ou", "s r l m", 0.35),
    "pt-br": _latin("p b m f v t d n s z ch j c g l r lh nh pl br fr tr qu", "a e i o u ã ão é ei ou", "s r l m", 0.35),
    "nl": _latin("p b m f v w t d n s z sch k g h l r j pl br fr vl tr st", "a e i o u aa ee oo uu oe ij ui eu ou",
                 "p m f t n s l r k ng cht lp rm", 0.5),
    "pl": _latin("p b m f w t d n s z sz cz rz ż ś ć dź dż k g h l ł r j pr br wp bł mł prz", "a e i o u y ą ę ó",
                 "p m w t n s sz cz k ł j ść", 0.4),
    "cs": _latin("p b m f v t d n s z š ž č ř c k g h ch l r j ť ď ň pr br vl bl pl mn", "a e i o u á é í ů ě y ou",
                 "p m v t n s š č k l r ch", 0.4),
    "sv": _latin("p b m f v t d n s sj tj sk k g h l r j pl br fr bl tr", "a e i o u y å ä ö",
                 "p m f t n s l r k ng", 0.45),
    "fi": _latin("p m v t n s k h l r j pp mm tt kk d", "a e i o u y ä ö aa ee ii oo uu ää ie uo yö ai", "n s t l r",
                 0.3, "p m v b f"),
    "ca": _latin("p b m f v t d n s c x j g l r ll ny pl br fr tr qu", "a e i o u à è é í ò ó ai au",
                 "n s l r t m p", 0.4),
    "tr": _latin("p b m f v t d n s z ş c ç k g h l r y", "a e ı i o ö u ü", "p m n t k l r ş z", 0.5),
    "hu": _latin("p b m f v t d n s sz z zs cs c k g h l r j gy ny ty", "a á e é i í o ó ö ő u ú ü ű",
                 "p m n t k l r s sz b d", 0.45),
    "ro": _latin("p b m f v t d n s z ș ț j c ch g gh l r pl br fr tr", "a e i o u ă â oa ea ia",
                 "p m n t c l r s ș", 0.4),
    "id": _latin("p b m t d n s c j k g h l r w y ng ny", "a e i o u ai au", "p m n t k ng l r s", 0.45),
    "sw": _latin("p b m f v t d n s z sh ch j k g h l r w y ng mb mp nd nj mw bw", "a e i o u", "a", 0.0),
    "el": Spelling(words("π μπ μ φ β π μπ μ φ β τ ντ ν σ ζ θ δ κ γκ γ χ λ ρ πρ μπρ φρ τρ ψ ξ"),
                   words("α ε ι ο ου ά έ ί ό αι ει"), ("ς", "ν"), 0.5),
    "ru": Spelling(words("п б м ф в п б м ф в т д н с з ш ж ч щ ц к г х л р пр бр вл мн пл"),
                   words("а о у ы э и е я ю ё а о и"), words("п б м в т н с ш ч к л р ть ль ф"), 0.5),
    "uk": Spelling(words("п б м ф в п б м ф в т д н с з ш ж ч ц к ґ г х л р пр бр вл мн"),
                   words("а о у и і е я ю є"), words("п б м в т н с ш ч к л р ль"), 0.45),
    "bg": Spelling(words("п б м ф в п б м ф в т д н с з ш ж ч ц щ к г х л р пр бр вл"),
                   words("а о у и е ъ я ю"), words("п б м в т н с ш ч к л р"), 0.45),
    "hi": _DEVANAGARI,
    "mr": _DEVANAGARI,
    "te": _TELUGU,
}  # fmt: skip

#: Everyday phrases, written for this project. They end without a pause mark: made-up words follow.
PHRASES: dict[str, tuple[str, ...]] = {
    "de": (
        "Guten Morgen, wie geht es Ihnen heute,", "Bitte bringen Sie mir ein Pfund Äpfel und fünf Birnen,",
        "Mein Bruder wohnt im fünften Stock,", "Wir haben schöne bunte Blumen gepflückt,", "Das ist aber wunderbar,",
        "Ich möchte bitte bezahlen,", "Vielleicht fahren wir morgen nach Bamberg,", "Am Abend spielt die Musik,",
    ),
    "fr": (
        "Bonjour madame, comment allez-vous,", "Je voudrais un peu de pain et du beurre,", "Mon père a vu un beau bateau,",
        "Nous habitons près de la fontaine,", "Pourquoi pas, mais pas maintenant,", "La vache mange de l'herbe verte,",
        "Il fait beau et chaud ce matin,", "Peut-être demain, si vous voulez,",
    ),
    "es": (
        "Buenos días, mi nombre es Pablo,", "Me gustaría comprar un vaso de vino blanco,", "Mi abuela vive en Bilbao,",
        "Por favor, abre la ventana,", "El perro bebe mucha agua fría,", "Vamos a la playa con la familia,",
        "Nunca había visto un pueblo tan bonito,", "Muchas gracias por todo,",
    ),
    "it": (
        "Buongiorno, mi chiamo Beppe,", "La mamma prepara la pasta per il bambino,", "Vorrei un bicchiere di vino,",
        "Che bella giornata, vero,", "Il vecchio ponte sopra il fiume,", "Forse domani piove,",
        "Abbiamo comprato pane e formaggio,", "Non ho mai visto una cosa simile,",
    ),
    "pt": (
        "Bom dia, como vai você,", "O meu avô pesca peixe bom,", "Vamos beber um café,", "Por favor, feche a porta,",
        "A minha família mora em Portugal,", "Muito obrigado pela ajuda,",
    ),
    "pt-br": (
        "Bom dia, tudo bem,", "Minha mãe fez um bolo de banana,", "A gente vai para a praia,", "Pode falar mais devagar,",
        "O povo bravo vive bem,", "Foi muito bom ver você,",
    ),
    "nl": (
        "Goedemorgen, hoe gaat het met u,", "Mijn broer woont bij de brug,", "Wij hebben vijf boeken gekocht,",
        "Het meisje blaast een bel,", "Mag ik alstublieft betalen,", "Misschien morgen om half vier,",
    ),
    "pl": (
        "Dzień dobry, jak się pan ma,", "Moja babcia piecze chleb,", "Proszę powoli mówić,", "Być może pójdziemy do parku,",
        "Pies pobiegł za piłką,", "Bardzo dziękuję za pomoc,",
    ),
    "cs": (
        "Dobrý den, jak se máte,", "Moje babička peče buchty,", "Prosím vás, mluvte pomalu,", "Možná půjdeme do parku,",
        "Pes běžel přes pole,", "Máme pět velkých jablek,", "Vlak přijede v půl páté,",
    ),
    "fi": (
        "Hyvää päivää, mitä kuuluu,", "Minun mummoni asuu maalla,", "Puhutko hieman hitaammin,", "Pappa polttaa piippua,",
        "Ehkä menemme huomenna uimaan,", "Poika pelaa palloa pihalla,",
    ),
    "ca": (
        "Bon dia, com es troba avui,", "La mare compra pa i formatge,", "El meu avi viu al poble,", "Potser plourà al vespre,",
        "Moltes gràcies per tot,", "Un gos petit beu aigua,",
    ),
    "ru": (
        "Добрый день, как ваши дела,", "Моя бабушка печёт пироги,", "Пожалуйста, говорите помедленнее,",
        "Мы купили пять больших яблок,", "Папа поймал рыбу,", "Может быть, мы пойдём в парк,",
    ),
    "hi": (
        "आप कैसे हैं,", "मेरा भाई बाजार में फल बेचता है,", "माँ पानी पी रही है,", "हम सुबह बाग में घूमे,",
        "मुझे बहुत भूख लगी है,",
    ),
    "mr": ("तुम्ही कसे आहात,", "माझी आई भाजी बनवते,", "आम्ही बागेत फिरलो,", "पाऊस फार पडतो,"),
    "te": ("మీరు ఎలా ఉన్నారు,", "మా అమ్మ పూలు కొన్నది,", "బాబు బడికి పోయాడు,", "నాకు మామిడి పండు కావాలి,"),
    "tr": ("Merhaba, bugün nasılsınız,", "Babam pazardan armut aldı,", "Belki yarın vapura bineriz,"),
    "hu": ("Jó napot kívánok,", "A nagymama finom pogácsát süt,", "Talán holnap elmegyünk a piacra,"),
    "sv": ("God morgon, hur mår du,", "Min mormor bakar bullar,", "Kanske vi promenerar i parken,"),
}  # fmt: skip
