"""Pictures and a report of GEM's results: gem-analysis report results/ -o report.html"""
