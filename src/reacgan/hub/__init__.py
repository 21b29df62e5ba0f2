"""Sharing and loading generators: safetensors, a configuration, a card, and digests."""

from reacgan.hub.card import card
from reacgan.hub.models import load, save
from reacgan.hub.states import list_states, load_discriminator, load_state

__all__ = ["card", "list_states", "load", "load_discriminator", "load_state", "save"]
