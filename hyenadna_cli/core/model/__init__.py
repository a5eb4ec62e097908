"""The network, from token ids to hidden states and likelihoods. Reads only checkpoints."""
