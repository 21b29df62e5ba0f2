"""How much memory training needs, and which settings fit."""
