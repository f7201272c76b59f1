"""Money. What trading costs is told by the dated tables of ``engine.rules`` and by a strategy's own fields."""
