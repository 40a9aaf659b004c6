"""Short texts with one fact each, and the questions they answer."""

from __future__ import annotations

STORIES = {
    "lighthouse": (
        "The lighthouse at Cape Orrin was built of grey granite. Its keeper, Martha Quill, lit the lamp for 31 years. "
        "Visitors came by boat in the summer months. The winters were long and the island was quiet then. "
        "A small garden behind the tower gave potatoes and kale."
    ),
    "bridge": (
        "The old bridge over the river Tarn fell in 1874. Engineers blamed a cracked iron girder for the collapse. "
        "The town raised money with a lottery. A new bridge opened two years later with a brass band. "
        "Children were let off school for the day."
    ),
    "orchard": (
        "The orchard grows forty kinds of apple. Pickers start at dawn in September. "
        "The rarest apple there is the Winter Banana, which keeps until March. Wasps are a trouble in warm years. "
        "Cider is pressed in the barn."
    ),
    "train": (
        "The night train leaves at ten past eleven. Sleeping cars were added in 1932. "
        "The dining car serves a soup of leeks. Snow stopped the train for three days near Halden. "
        "The whistle is heard across the valley."
    ),
}
QUESTIONS = {
    "lighthouse": "Who was the keeper of the lighthouse that lit the lamp?",
    "bridge": "What did engineers blame for the collapse of the bridge?",
    "orchard": "What is the rarest apple in the orchard?",
    "train": "Where did snow stop the train for three days?",
}
ANSWERS = {"lighthouse": "Martha Quill", "bridge": "cracked iron girder", "orchard": "Winter Banana", "train": "Halden"}

SONGS = (
    "It was written by George Harrison in a garden. The record sold well.",
    "It was written by Joni Mitchell in a barn. Critics liked it.",
)
"""Two texts of which only their titles say what they are about."""

SONG_QUESTION = "Who wrote Autumn Harbour?"
