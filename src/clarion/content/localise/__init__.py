"""Localisation: chooses the language, and formats numbers, dates, lists and plurals."""
