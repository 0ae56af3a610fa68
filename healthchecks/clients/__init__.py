"""How several checks speak to a peer: safe against peers that hang, babble or lie, and clear about what is wrong."""
