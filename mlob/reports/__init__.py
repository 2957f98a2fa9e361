"""What people read: the submission, tables of results, figures and the page. Made from a suite's runs."""
