"""Optimizers that an earlier version pickled: their classes are found, and they go on."""

from __future__ import annotations

import base64
import pickle
import zlib

import numpy as np

import gpuopt as go
from gpuopt.optimizer import Optimizer

# From before the package had wings: a chain around a partition, with a schedule, after one step.
EARLIER = (
    "c-n<k+p8Nz7|*83$w}JMBdt{-LO|gpF>Vs!NKa{ckWdd8jUs&zL6_OxX?9_6%<hCnDJWP@7d~%ve9$M~MexOk`Um)QD)"
    "?sK#7C*r2ca*5ezTX{&an<8JM-<#clmw4-|PpaFJ7$_k^x(jfcrtD;?H*N_b3xkeSJQ^Em|Ln8=?st0b#@qlet0!ocFj"
    "J%v8<r8C6~GL^ffJ%mkd$7&Uw^j2Jf}JP+k$r+|uQrdw`{QQ@W-D!MojZ;Iwf85M5|>m-!TXcka;q<HOuh;OBDPk?esj"
    "K||w{=t#_jS7*_<Kb34_~!aYXCLh4Pl0AYuU5@EEhAWGa{mf0o`{E=f8G1x?&0D6WG9Cb;|>*YE(1WWLe=oyzz@+}9$L"
    "iqasaS?n;J9}P+!?TVZ^kl7iszHEyJ+`ZQ}SkaWv0o?gGM1mt0Rx`+I+8=%1iLDE2RZ_v6E_zyIT7u3OJS^$o%zJF<Om"
    "akQL7lT)j*mas`f0}~Li`I_(IgfB%bIt*j|n#C&VG$OdZe<;UYsG7tLsAqc<F@{Z#h7o1{RKy%nYzugNB@8hMl46R$lw"
    "QJf^BC5pIfFvOqGpmOYz+O-_UKXpQ{r%n!S8%2$5&9sXjuBFh7fqB*e_%QgO_EV{iQ?`!wYD5@bIU5=MSE<di$5J%s%<"
    "82N&UtZj(^55LuUCb_*)VQ`r|;35TLS6JzxH^h!Ain<*ANZ(M~;DI=44&PYdUAY12Yg!+L9F*^%M$`G-NR16Y5m4{0td"
    "?JRkVdNVYu53eNKKD$CZw#f7QWJ>}H3Na<jOfU{m_sd$NJKT$MzKgo70e=(b&M42nYW%)3I#**u(?jFW=^I-U+r}oh~="
    "P9pYOfc>NJ9!Kh5{I$@axY&WonQ20eAB(~xlDY`4>xGhi_GJ=$sHBpAF*oRFfg?KV1)4VQ=K4OY|kHj}2Jr+%lAv~$px"
    "sdy%udaX20KMj<0P)>Ju7s*~g`)c<FR~g4NvIb^Z+(1`ZbDBv{q@Pv`Tjuk~ku-xV$Ah$t#R?Qlg)N-7g!Q&;!BgvQ)M"
    "JEu?#QMUB}0jHSH!nLx@+<~NxI7dtdZ_Qf>3F9*Hw_2mUIB+b~lZhtKl)+b3_l-c6Y7_IGq)%uCbd#HNYcw!ab?$cVg?"
    "^*wRJ?4oZY<gbf4P9A%dfva>!?xRf!{H~lJ1(^p5Y-(q_GZhiLm=f4M^e!G`H<uz>8|NFZBdFM|3+AllVb$u$!TyrV${"
    "x8&V--btpTKzI8Zt8#hs3Xf&a2&e&FGGjl`2"
)


def test_an_optimizer_of_an_earlier_version_goes_on() -> None:
    opt = pickle.loads(zlib.decompress(base64.b85decode(EARLIER)))
    assert type(opt) is Optimizer
    rules = {"a": go.Momentum(0.5), "*": go.Adam(go.schedules.Cosine(0.1, 10))}
    rule = go.chain(go.clip_global_norm(1.0), go.partition(rules), go.average(0.9))
    assert opt.rule == rule
    twin, grads = rule.init({"a": np.ones(2), "b": np.ones(1)}), {"a": np.ones(2), "b": np.ones(1)}
    twin.step(grads)
    for _ in range(2):
        assert all(np.array_equal(opt.params[name], twin.params[name]) for name in grads)
        assert (opt.t, opt.counts) == (twin.t, twin.counts)
        opt.step(grads)
        twin.step(grads)
