"""What the engine is asked about: fixed conversations by kind. None of them has a system message yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voicebot.engines.protocols import Message


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation that wants a reply."""

    messages: tuple[Message, ...]
    said_before: bool = False
    """Whether the assistant has said this reply before, in another session."""


def talk(*texts: str, said_before: bool = False) -> Prompt:
    """Return a conversation in which user and assistant take turns; the user begins and has the last word."""
    roles = ("user", "assistant")
    messages = tuple(Message(roles[index % 2], text) for index, text in enumerate(texts))  # type: ignore[arg-type]
    return Prompt(messages, said_before)


_SHOPPING: Final = (
    "eggs, brown bread, two pints of milk, a dozen apples, washing powder, olive oil and a bag of flour",
    "three onions, a jar of honey, green tea, dark chocolate, a pound of butter, rice and a bunch of bananas",
    "batteries, light bulbs, paper towels, dish soap, a new toothbrush, cat food and a box of matches",
)
_REMINDERS: Final = (
    "call the dentist at nine in the morning on Thursday about the broken tooth on the left side",
    "take the blue folder with the insurance papers to the office in Station Road before Friday noon",
    "water the tomato plants on the balcony every evening at seven and close the greenhouse after that",
)

QUOTING: Final = (
    *(
        talk(
            f"Put this on my shopping list: {items}.",
            f"Your shopping list is: {items}.",
            "Read my shopping list back to me.",
        )
        for items in _SHOPPING
    ),
    *(
        talk(
            f"Remind me to {what}.",
            f"Your reminder is: {what}.",
            "Repeat my reminder word for word.",
        )
        for what in _REMINDERS
    ),
    talk("Introduce yourself and say what you can help me with.", said_before=True),
    talk("Explain how to make a cup of tea.", said_before=True),
)
"""The reply is in the conversation, or has been said to somebody else."""

CHAT: Final = tuple(
    talk(text)
    for text in (
        "Tell me a story about a dog that lived by the sea.",
        "Why is the sky blue during the day?",
        "What should I cook for dinner with rice and eggs?",
        "How do airplanes stay in the air?",
        "Describe a walk through a forest in autumn.",
        "Give me some advice for a job interview.",
        "Tell me about the history of the bicycle.",
        "How can I learn to play the guitar?",
        "What happens to the water in a river when it reaches the sea?",
        "How do I keep my house cool in the summer?",
        "What is the difference between a frog and a toad?",
        "How does a microwave oven heat food?",
        "What makes a good friend?",
        "Describe the taste of a lemon to somebody who never had one.",
        "Why do cats sleep so much?",
        "Tell me about your favourite season.",
    )
)
"""Nothing to quote. The first ten are answered at length."""

_CAPITALS: Final = (
    "What is the capital of France?", "The capital of France is Paris, on the river Seine.",
    "What is the capital of Spain?", "The capital of Spain is Madrid, in the middle of the country.",
    "What is the capital of Italy?", "The capital of Italy is Rome, on the river Tiber.",
    "What is the capital of Greece?", "The capital of Greece is Athens, by the sea.",
)  # fmt: skip
_BOXES: Final = (
    "The red box is on the table in the kitchen. The red box is on the floor of the hall. The red box is in the car. "
    "The blue box is on the table in the garden. The blue box is on the shelf. The blue box is in the cellar. "
    "The green box is on the roof. The green box is in the cellar of the house. The green box is by the door."
)
_PEOPLE: Final = (
    "Anna likes to read books about ships. Anna likes to swim in the lake. Ben likes to read books about horses. Ben "
    "likes to swim in the sea. Carla likes to read books about stars. Carla likes to walk in the hills. Dan likes to "
    "read the paper. Dan likes to walk to the station."
)
_NUMBERS: Final = (
    "One two three four five. One two three five eight. Two three five seven eleven. Two three four six eight. "
    "Three four five nine. Three four seven eleven. Four five six nine. Four five one two. Five six one three."
)
_RULES: Final = (
    "If it rains, we stay at home and play cards. If it rains, we take the bus. If it rains, we go to the museum. If "
    "it snows, we stay in bed. If it snows, we take the sledge. If it snows, we go to the hill behind the school."
)

MISLEADING: Final = (
    talk(*_CAPITALS, "What is the capital of Germany, and what is it known for?"),
    talk(*_CAPITALS, "What is the capital of Portugal, and where is it?"),
    talk(_BOXES, "I see, there are many boxes.", "Which of the boxes are in the cellar, and why?"),
    talk(_BOXES, "I see.", "Make up three more sentences like these about a yellow box."),
    talk(_PEOPLE, "That is good to know.", "What does Carla like, and what does Dan like?"),
    talk(_PEOPLE, "That is good to know.", "Make up four sentences like these about Eva."),
    talk(_NUMBERS, "I have heard them.", "Make up a row of twenty numbers like these."),
    talk(_BOXES, "I see, there are many boxes.", "Tell me a story about the red box."),
    talk(_RULES, "All right.", "What do we do if it rains, and what if the sun shines?"),
    talk(_RULES, "All right.", "Make up three rules like these for a windy day."),
)
"""The conversation is full of beginnings that go on in several ways."""

HISTORY: Final = talk(
    "Good morning, can you tell me what there is to do today?",
    "Good morning! You have a meeting with the garden club at ten, and your sister comes for lunch at one.",
    "What could I cook for the two of us that does not take long?",
    "A vegetable soup with fresh bread takes half an hour, or an omelette with mushrooms and a green salad.",
    "The soup sounds good. Which vegetables do I need for it?",
    "Take two carrots, a leek, some celery, three potatoes and an onion, and a handful of parsley for the end.",
    "And how long does it have to boil until all of that is soft?",
    "About twenty minutes after it has come to a boil; cut the potatoes small, since they take the longest.",
    "Do I have to put in salt at the beginning or at the end?",
    "A little at the beginning, and more at the end when you have tasted it, because the broth gets stronger.",
    "Fine. What could we do in the afternoon if the weather is nice?",
    "You could walk along the river to the old mill and have a cup of coffee there; the path is dry in summer.",
).messages
"""A conversation of some three hundred tokens, after which the user may say anything; the assistant spoke last."""

SENTENCES: Final = (
    "How long does it take to walk to the mill?",
    "Can you remind me to buy fresh bread before lunch?",
    "What kind of cake goes well with our afternoon coffee?",
    "Tell me which vegetables I should cut for the soup.",
    "Is there anything else that I should do this morning?",
    "Please write all those vegetables down on my shopping list.",
    "When do I have to leave for the garden club?",
    "What should I wear if it gets colder this evening?",
    "Do you know a story about an old water mill?",
    "How many potatoes do I need if four people come?",
    "Which bread would you choose for a soup of vegetables?",
    "Could we take the bus home from the old mill?",
    "What is the best way of keeping parsley quite fresh?",
    "Tell me how I can make the soup much thicker.",
    "Should I set the table in the garden this time?",
    "What else can I do with the rest of celery?",
    "How do I know that the potatoes are soft enough?",
    "Why does the broth get stronger while soup is boiling?",
    "Can I make the soup tonight and warm it tomorrow?",
    "What would you ask the club about my tomato plants?",
    "Are there any birds that we could find out there?",
    "Which flowers could my sister take home from the garden?",
)
"""Ten words each."""

LONG_TEXT: Final = " ".join(
    f"On day {day} we walked {day + 3} miles, slept in a barn, and wrote down what the {animal} did near the water."
    for day, animal in enumerate(("heron", "otter", "badger", "fox", "owl", "hare", "stoat", "crow") * 3, 1)
)
"""Some seven hundred tokens."""

EVERY: Final = (*QUOTING, *CHAT, *MISLEADING, *(Prompt((*HISTORY, Message("user", text))) for text in SENTENCES))
