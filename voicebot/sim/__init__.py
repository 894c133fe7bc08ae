"""A box that is computed: cores, frequencies, heat and memory, for trying out what sets them."""
