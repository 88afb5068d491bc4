"""The nouns of the house: frozen, without I/O. Import them from their modules (`dari.values.digest`)."""
