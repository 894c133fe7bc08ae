"""Many random requests to the language model, cancelled at random: what is answered wrongly, and what stays behind."""
