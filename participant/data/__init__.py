"""The handwritten digits that ship with Engram, and their licence. This folder holds data files only."""
