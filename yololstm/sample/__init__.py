"""The embedded data set: acted takes in a drawn shop, in the shape of AI-Hub 71550.

It proves that the pipeline runs from video to metrics on any machine; it says nothing about how
well a real shop is watched.

World frame: metres, x to the right, y away from the cameras, z up; the floor is z = 0.
"""
