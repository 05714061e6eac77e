"""The algebra of energies, and the energies that everybody composes.

Names, listed in the stub beside this file, come with their module when they are asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
