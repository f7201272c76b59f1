"""Cost schedules were listed and edited, and read by nothing: a market's dated tables say what trading costs."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("trading", "0001_initial")]

    operations = [migrations.DeleteModel("CostSchedule")]
