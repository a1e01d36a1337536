"""Reference cases, one module per part of a system; `check_parity.py` runs them."""
