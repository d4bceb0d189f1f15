"""Events as organizers draft, publish and cancel them: the catalogue service over HTTP."""
