"""The screens: the trading screen, and the dialogs over it."""
