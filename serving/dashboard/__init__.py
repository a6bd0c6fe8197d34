"""The live dashboard: what the streams do now, for people.

Messages and rows are read in the background and kept bounded (`board`), numbers and charts are pure
functions of frames (`kpis`, `tests_of_groups`, `charts`), and `page` lays them out.
"""
