"""What a person sees and answers: tables, cards, bars and boxes, as text and as HTML."""
