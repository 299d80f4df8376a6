"""How the painter paints: words become a scene, a scene becomes land, light and subjects."""
