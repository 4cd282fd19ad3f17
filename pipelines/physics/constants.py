"""Constants of nature that no parameter stands for."""

GEV2_PB = 0.3893793721e9  # (hbar c)^2 in GeV^2 pb, CODATA 2018
