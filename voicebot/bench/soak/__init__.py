"""Many random requests to the language model, cancelled at random: is every answer right, and does nothing stay behind?"""
