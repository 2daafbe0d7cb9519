"""The question "may this purpose run for this visitor on this site now?", and its answer."""
