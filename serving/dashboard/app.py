"""What Streamlit runs for each page: nothing but the page."""

from serving.dashboard.page import show

show()
