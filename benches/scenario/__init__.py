"""How the gateway behaves while something happens: files that change, an interpreter that is held."""
