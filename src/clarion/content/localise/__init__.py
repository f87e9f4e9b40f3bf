"""Languages: which one a reader gets, and how it writes numbers, dates, lists and plurals."""
