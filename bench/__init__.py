"""What calls, objects and actors cost, here and elsewhere, measured side by side in one run."""
