"""Feast: our declarations in its words, and its protocol in front of our stores."""
