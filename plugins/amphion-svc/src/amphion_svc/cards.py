"""The cards of amphion-svc: published configurations. No model is imported here.

Weights are brought in by ``amphion convert svc/transformer --layout amphion``.
"""

from amphion_core.cards import Card

_PUBLISHED = {"mel": "amphion_24k_100", "melody": "coarse", "loudness_range": [1e-30, 1.5]}

CARDS = [
    Card(
        name="svc/transformer@conformer",
        title="published configuration: relative attention, 10.7 M parameters without the condition",
        config=_PUBLISHED,
    ),
    Card(
        name="svc/transformer@transformer",
        title="published configuration: sines as positions, 13.0 M parameters without the condition",
        config={**_PUBLISHED, "encoder": "transformer", "filter_channels": 2048},
    ),
]
