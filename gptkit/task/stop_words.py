"""English function words, which do not end a passage of LAMBADA. GPT-2's paper does not publish its list; this one is our own."""

from __future__ import annotations

PRONOUNS = """
    i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its itself we us our ours
    ourselves they them their theirs themselves one who whom whose which what this that these those each every either neither both
    all any some none another other others such something anything nothing everything someone anyone everyone nobody
"""
DETERMINERS = "a an the no few many much more most several enough own same"
PREPOSITIONS = """
    about above across after against along among around as at before behind below beneath beside between beyond by despite down
    during except for from in inside into like near of off on onto out outside over past since than through to toward towards under
    until up upon with within without
"""
CONJUNCTIONS = "and but or nor so yet because although though if unless while whether when where why how once"
AUXILIARIES = """
    am is are was were be been being have has had having do does did doing will would shall should can could may might must ought
"""
ADVERBS = "not too very just only also even still again then there here now ever never always quite rather almost"
CONTRACTED = "s t d m re ve ll n't don't didn't can't won't it's that's i'm"

STOP_WORDS = tuple(
    sorted(
        {
            word
            for part in (PRONOUNS, DETERMINERS, PREPOSITIONS, CONJUNCTIONS, AUXILIARIES, ADVERBS, CONTRACTED)
            for word in part.split()
        }
    )
)
