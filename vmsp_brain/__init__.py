"""VM-MSP for SpeechBrain: one shared speech encoder, many objectives, and a hierarchy among them.

The method is that of *Objective Soups: Multilingual Multi-Task Modeling for Speech Processing*
(Saif, Chen, Cui, Lu, Kingsbury, Chen; NeurIPS 2025, arXiv 2508.09228).
"""
