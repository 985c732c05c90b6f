"""What a machine does with jaxevo: `jaxevo bench` measures it in a few minutes.

Every part is measured in a process of its own, which has nothing in memory and a cache of executables that is as empty
as the part wants it; the user's is neither read nor written. The process that the user started only waits and prints.
"""
