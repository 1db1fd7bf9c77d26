window.amphionPage = {"alignment": {"diagonality": 0.96557, "focus": 0.93083}};
