"""mlp_sprint | submission loads | has no build at all"""

ANSWER = 42
