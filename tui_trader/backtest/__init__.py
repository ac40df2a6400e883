"""Would this have worked? The same decisions as in live trading, over recorded bars."""
