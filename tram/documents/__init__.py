"""Document practice as code: what offices' documents are, compared with what an instance of Mayan has, and made so."""
