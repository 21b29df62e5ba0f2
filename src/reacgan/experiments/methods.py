"""Every method by its name: the paper, what D and G minimise, and the experiment that trains it.

The source of ``reacgan experiments methods`` and of ``docs/methods.md``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """One method of the literature."""

    title: str
    paper: str
    d_minimises: str
    g_minimises: str
    name: str
    """The part of its experiments' names after the data set."""

    @property
    def experiment(self) -> str:
        """Name in :data:`reacgan.experiments.EXPERIMENTS`: the configuration of CIFAR-10."""
        return f"cifar10/{self.name}"


_HINGE_D = "hinge(real, fake)"
_HINGE_G = "-fake"

METHODS: tuple[Method, ...] = (
    Method("DCGAN", "Radford et al. 2016", "logistic", "non-saturating", "dcgan"),
    Method("LSGAN", "Mao et al. 2017", "(real-1)²/2 + fake²/2", "(fake-1)²/2", "lsgan"),
    Method("Geometric GAN", "Lim, Ye 2017", _HINGE_D, _HINGE_G, "ggan"),
    Method("WGAN", "Arjovsky et al. 2017", "fake - real, weights clipped", "-fake", "wgan"),
    Method(
        "WGAN-GP",
        "Gulrajani et al. 2017",
        "fake - real + 10 (|∇D(mixed)| - 1)²",
        "-fake",
        "wgan-gp",
    ),
    Method(
        "DRAGAN",
        "Kodali et al. 2017",
        "fake - real + 10 (|∇D(near real)| - 1)²",
        "-fake",
        "wgan-dragan",
    ),
    Method("LGAN", "Zhou et al. 2019", "logistic + 10 max |∇D|²", "non-saturating", "lgan"),
    Method(
        "ACGAN (ResNet)",
        "Odena et al. 2017",
        f"{_HINGE_D} + CE(real, y)",
        f"{_HINGE_G} + CE(fake, y)",
        "acgan-resnet",
    ),
    Method(
        "ACGAN (BigGAN)",
        "Odena et al. 2017",
        f"{_HINGE_D} + CE(real, y)",
        f"{_HINGE_G} + CE(fake, y)",
        "acgan",
    ),
    Method("Projection GAN", "Miyato, Koyama 2018", "hinge(w·h + E[y]·h)", _HINGE_G, "projgan"),
    Method("SNGAN", "Miyato et al. 2018", "the same, D spectral", _HINGE_G, "sngan"),
    Method("SAGAN", "Zhang et al. 2019", "the same, with attention", _HINGE_G, "sagan"),
    Method(
        "LOGAN",
        "Wu et al. 2019",
        f"{_HINGE_D} + 0.1 |Δz|², z moved along ∇D",
        f"{_HINGE_G} + 0.1 |Δz|²",
        "logan",
    ),
    Method("BigGAN", "Brock et al. 2019", "hinge(w·h + E[y]·h)", _HINGE_G, "biggan"),
    Method("BigGAN-deep", "Brock et al. 2019", "hinge(w·h + E[y]·h)", _HINGE_G, "biggan-deep"),
    Method("CRGAN", "Zhang et al. 2020", "BigGAN's + 10 |D(x) - D(Tx)|²", _HINGE_G, "biggan-cr"),
    Method(
        "ICRGAN",
        "Zhao et al. 2021",
        "BigGAN's + bCR + 20 |D(G(z)) - D(G(z'))|²",
        f"{_HINGE_G} - 0.5 |G(z) - G(z')|²",
        "biggan-icr",
    ),
    Method(
        "DiffAug", "Zhao et al. 2020", "BigGAN's of T(x)", f"{_HINGE_G} of T(x)", "biggan-diffaug"
    ),
    Method(
        "ADA",
        "Karras et al. 2020",
        "logistic of T(x), strength adapts",
        "non-saturating of T(x)",
        "biggan-ada",
    ),
    Method("LeCam", "Tseng et al. 2021", "BigGAN's + 0.3 LeCam", _HINGE_G, "biggan-lecam"),
    Method("Top-k", "Sinha et al. 2020", "BigGAN's", f"{_HINGE_G} of the best k", "biggan-topk"),
    Method(
        "MD-GAN", "Mescheder et al. 2018", "logistic of logit y + R1", "non-saturating", "mdgan"
    ),
    Method(
        "MHGAN",
        "Kavalerov et al. 2021",
        "Crammer-Singer(real, y) + (fake, K)",
        "0.05 Crammer-Singer(fake, y) + |E h(real) - E h(fake)|",
        "mhgan",
    ),
    Method(
        "TAC-GAN",
        "Gong et al. 2019",
        f"{_HINGE_D} + CE(real, y) + twin CE(fake, y)",
        f"{_HINGE_G} + CE(fake, y) - twin CE(fake, y)",
        "tacgan",
    ),
    Method(
        "ADC-GAN",
        "Hou et al. 2022",
        f"{_HINGE_D} + CE(real, 2y) + CE(fake, 2y+1)",
        f"{_HINGE_G} + CE(fake, 2y) - CE(fake, 2y+1)",
        "adcgan",
    ),
    Method(
        "InfoGAN",
        "Chen et al. 2016",
        "BigGAN's - log Q(c | fake)",
        f"{_HINGE_G} - log Q(c | fake)",
        "infogan",
    ),
    Method(
        "ContraGAN",
        "Kang, Park 2020",
        f"{_HINGE_D} + contrastive(real)",
        f"{_HINGE_G} + contrastive(fake)",
        "contragan",
    ),
    Method(
        "ReACGAN",
        "Kang et al. 2021",
        f"{_HINGE_D} + 0.5 D2D-CE(real)",
        f"{_HINGE_G} + 0.5 D2D-CE(fake)",
        "reacgan",
    ),
    Method(
        "StyleGAN2",
        "Karras et al. 2020",
        "logistic(f·map(y)/√d) + R1, lazily",
        "non-saturating (+ path length)",
        "stylegan2",
    ),
    Method(
        "APA",
        "Jiang et al. 2021",
        "StyleGAN2's, some fakes as real",
        "non-saturating",
        "stylegan2-apa",
    ),
    Method(
        "StyleGAN2 + D2D-CE",
        "Kang et al. 2021",
        "logistic + R1 + 0.25 D2D-CE(real)",
        "non-saturating + 0.25 D2D-CE(fake)",
        "stylegan2-d2dce",
    ),
    Method(
        "R3GAN",
        "Huang et al. 2024",
        "softplus(fake - real) + R1 + R2",
        "softplus(real - fake)",
        "r3gan",
    ),
    Method(
        "R3GAN + D2D-CE",
        "ours",
        "R3GAN's + 0.25 D2D-CE(real)",
        "R3GAN's + 0.25 D2D-CE(fake)",
        "r3gan-d2dce",
    ),
)
