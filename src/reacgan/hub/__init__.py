"""Sharing and loading generators: safetensors, a configuration, a card, and digests."""

from reacgan.hub.card import card
from reacgan.hub.models import load, save
from reacgan.hub.places import known_models, locate, pretrained
from reacgan.hub.selection import find_states
from reacgan.hub.states import list_states, load_discriminator, load_state
from reacgan.hub.upload import push_to_hub

save_pretrained = save

__all__ = [
    "card",
    "find_states",
    "known_models",
    "list_states",
    "load",
    "load_discriminator",
    "load_state",
    "locate",
    "pretrained",
    "push_to_hub",
    "save",
    "save_pretrained",
]
