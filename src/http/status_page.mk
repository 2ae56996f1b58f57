# The status page as the compiler takes it: a text literal for each line, without trigraphs. Included by every Makefile that builds src/http.
%/status_page.inc: %/status_page.html %/status_page.mk
	sed 's/["\\?]/\\&/g; s/.*/"&\\n"/' $< >$@
