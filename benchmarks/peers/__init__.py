"""Other packages on PyPI that train class-conditional GANs, each in its own words, beside ours."""
