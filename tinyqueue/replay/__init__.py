"""The replay: what the learner keeps and samples. Storage, adders and samplers are separate."""
