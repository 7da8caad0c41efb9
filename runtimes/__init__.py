"""Deployed model -> outputs: one runtime per engine, and the C++ operator library that they need."""
