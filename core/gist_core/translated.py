"""SQuAD-it's titles in English, for its articles are those of XQuAD: what is parallel stands on one side.

Found by the ids of the questions, which both have from SQuAD ("Amazzonia" by its text). Titles that are the same in
both languages are left out. See core/decisions/0003-splits.md.
"""

from __future__ import annotations

ENGLISH_TITLES: dict[str, str] = {
    "abc (stati uniti d'america)": "american broadcasting company",
    "amazzonia": "amazon rainforest",
    "cloroplasto": "chloroplast",
    "commutazione di pacchetto": "packet switching",
    "costruzione edilizia": "construction",
    "crisi energetica (1973)": "1973 oil crisis",
    "dinastia yuan": "yuan dynasty",
    "diritto dell'unione europea": "european union law",
    "disobbedienza civile": "civil disobedience",
    "disuguaglianza economica": "economic inequality",
    "docente": "teacher",
    "farmacia": "pharmacy",
    "forza": "force",
    "fresno (california)": "fresno, california",
    "gengis khan": "genghis khan",
    "geologia": "geology",
    "gruppo intergovernativo sul cambiamento climatico": "intergovernmental panel on climate change",
    "guerra franco-indiana": "french and indian war",
    "imperialismo": "imperialism",
    "islamismo": "islamism",
    "jacksonville": "jacksonville, florida",
    "martin lutero": "martin luther",
    "metodismo": "united methodist church",
    "morte nera": "black death",
    "motore a vapore": "steam engine",
    "normanni": "normans",
    "numero primo": "prime number",
    "ossigeno": "oxygen",
    "parlamento scozzese": "scottish parliament",
    "programma apollo": "apollo program",
    "reno": "rhine",
    "scuola privata": "private school",
    "sistema immunitario": "immune system",
    "sky (gran bretagna)": "sky (united kingdom)",
    "teoria della complessità computazionale": "computational complexity theory",
    "ugonotti": "huguenot",
    "università di chicago": "university of chicago",
    "università di harvard": "harvard university",
    "varsavia": "warsaw",
}
