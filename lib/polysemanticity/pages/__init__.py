"""All Markdown and HTML that is generated: README, site, audits of claims, reference."""
