"""How a training goes: what can be measured of two networks (`signals`), what it means
(`diagnosis`), and how often to update either of them (`balance`)."""
